//! Session ids that carry their session, sealed.
