"""A map to one autonomous continuous network whose flow follows it: states, planes, fit, several steps at once, judgment."""
