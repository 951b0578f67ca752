"""Picture files → pixels and labels."""
