"""A click command each: the file's name is the command's, its attribute ``command`` the command."""
