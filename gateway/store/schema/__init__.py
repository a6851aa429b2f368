"""The database's schema as numbered SQL files; each is applied once, in order, and never edited later."""
