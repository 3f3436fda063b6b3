"""The places that the files of a feed are taken from. Each kind is one module behind one interface (`location`)."""
