"""What tests of a whole server share: starting one, and talking to it in raw bytes."""
