"""Arrays of each kind: dtypes, devices and memory; no mathematics. `kinds` finds the backend of an array."""
