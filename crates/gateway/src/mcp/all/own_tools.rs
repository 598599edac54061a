//! The tools of one service in its own words, for doors that show one service at a time.

use std::sync::{Arc, atomic::Ordering};

use arc_swap::ArcSwapOption;
use bartizan_clock::Instant;
use bartizan_protocol::method::TOOLS_LIST;
use bartizan_transport::sessions::SessionId;
use bytes::Bytes;

use super::shelf::FRESH;
use crate::mcp::{Door, Witness, house::key_of, pages, pages::ListError};

/// What a service last said to one caller.
#[derive(Debug, Default)]
pub(crate) struct OwnTools {
    known: ArcSwapOption<Known>,
    /// One asks, the others wait for what it hears.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    items: Arc<[Bytes]>,
    /// Who said it.
    instance: Option<Arc<str>>,
    asked: Instant,
    /// The count of changes that the service had announced.
    generation: u64,
}

/// All tools of the door's service: what it said within the last minute if it has not announced a
/// change since, else what it says now, at an instance that is picked for `key`.
/// The witness hears which one that is or was.
///
/// # Errors
///
/// When it says nothing now.
///
/// # Cancellation
///
/// Dropping the future leaves the question to the next.
pub(crate) async fn own_tools(
    door: &Door,
    key: u64,
    witness: &Arc<Witness>,
) -> Result<Arc<[Bytes]>, ListError> {
    let shelf = door.shared.shelf();
    let generation = shelf.generation(door);
    let fresh = |own: &OwnTools| {
        let known = own.known.load();
        let known = known.as_ref()?;
        let doubted = door.service.mcp().map_or(0, |it| it.tools().doubted());
        let is_fresh = shelf.clock.now() - known.asked < FRESH
            && known.generation == generation.load(Ordering::Relaxed)
            && known.asked.as_nanos() > doubted;
        if !is_fresh {
            return None;
        }
        if let Some(instance) = &known.instance {
            witness.note(instance);
        }
        Some(Arc::clone(&known.items))
    };
    let (id, principal) = (place(door), door.caller.principal());
    let own = match shelf.own.get(&id, principal) {
        Some(own) => Arc::clone(&own),
        // Without room, or if somebody else was faster, it is asked for in vain at worst.
        None => match shelf.own.insert(id, principal, Arc::default()) {
            Ok(own) => Arc::clone(&own),
            Err(_) => Arc::default(),
        },
    };
    if let Some(list) = fresh(&own) {
        return Ok(list);
    }
    let _turn = own.turn.lock().await;
    if let Some(list) = fresh(&own) {
        return Ok(list);
    }
    let (asked, counted) = (shelf.clock.now(), generation.load(Ordering::Relaxed));
    let door = door.clone().in_turn(key, witness);
    let door = door.map_err(ListError::Unasked)?;
    let items: Arc<[Bytes]> = pages::all(&door, None, TOOLS_LIST).await?.into();
    own.known.store(Some(Arc::new(Known {
        items: Arc::clone(&items),
        instance: witness.instance(),
        asked,
        generation: counted,
    })));
    Ok(items)
}

/// What a caller's list of one service is kept under.
fn place(door: &Door) -> SessionId {
    key_of((door.service.id(), door.caller.principal()))
}
