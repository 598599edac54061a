//! What one era says, in the words of the other.
