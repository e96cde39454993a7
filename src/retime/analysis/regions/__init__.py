"""Linear regions: visited, enumerated, and how far their boundaries are."""
