"""Search spaces that come with atom_nas: one self-contained module each."""
