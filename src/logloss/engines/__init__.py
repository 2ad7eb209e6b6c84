"""Where states are made and added: nothing else happens here."""
