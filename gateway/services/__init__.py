"""Services: one task each, supervised; rooms on this floor do not know each other."""
