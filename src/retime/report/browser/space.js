// space
