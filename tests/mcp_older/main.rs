//! Clients and servers of the older revisions, many of them behind one address: what is said in a
//! session, and what becomes of it when the session is lost.

mod answers;
mod calls;
mod doubts;
mod eras;
mod lists;
mod lost;
mod peers;
mod watched;
