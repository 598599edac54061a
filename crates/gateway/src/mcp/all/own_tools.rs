//! The tools of one service in its own words, for doors that show one service at a time.

use std::sync::{Arc, atomic::Ordering};

use arc_swap::ArcSwapOption;
use bartizan_clock::Instant;
use bartizan_protocol::{error, method::TOOLS_LIST};
use bytes::Bytes;

use super::shelf::{FRESH, Held, generation};
use crate::mcp::{
    Door, Refusal, Witness, pages,
    pages::ListError,
    single_flight::{SingleFlight, Turn},
};

/// What a service last said to one caller.
#[derive(Debug, Default)]
pub(crate) struct OwnTools {
    known: ArcSwapOption<Known>,
    asking: SingleFlight,
}

#[derive(Debug)]
struct Known {
    items: Arc<[Bytes]>,
    /// Who said it.
    instance: Option<Arc<str>>,
    asked: Instant,
    /// The count of changes that the service had announced.
    generation: u64,
    /// What it takes of the shelf.
    _held: Held,
}

/// All tools of the door's service: what it said within the last minute if it has not announced a
/// change since, else what it says now, at an instance that is picked for `key`.
/// The witness hears which one that is or was.
///
/// # Errors
///
/// When it says nothing now, or did not to whoever asked it meanwhile.
///
/// # Cancellation
///
/// Dropping the future leaves the answer to the next.
pub(crate) async fn own_tools(
    door: &Door,
    key: u64,
    witness: &Arc<Witness>,
) -> Result<Arc<[Bytes]>, ListError> {
    let shelf = door.shared.shelf();
    let generation = generation(door);
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
    // Without room it is asked for in vain at worst.
    let own = shelf.own(door).unwrap_or_default();
    if let Some(list) = fresh(&own) {
        return Ok(list);
    }
    let asks = async {
        let flight = match own.asking.turn(|| fresh(&own)).await {
            Turn::Heard(list) => return Ok(list),
            Turn::InVain => {
                let text = format!("{} did not list its tools just now", door.service.name());
                let refusal = Refusal::answer(error::UNREACHABLE, text);
                return Err(ListError::Refused(refusal));
            }
            Turn::Ask(flight) => flight,
        };
        let (asked, counted) = (shelf.clock.now(), generation.load(Ordering::Relaxed));
        let asker = door.clone().in_turn(key, witness);
        let asker = asker.map_err(ListError::Unasked)?;
        let (own, witness, shelf) = (Arc::clone(&own), Arc::clone(witness), shelf.clone());
        // In a task of its own: whoever gives up waiting leaves the answer to the next.
        let asks = tokio::spawn(async move {
            let items = pages::all(&asker, None, TOOLS_LIST).await;
            let items = items.inspect_err(|_| {
                flight.failed();
                // Somebody else may have asked in vain first what comes before a list.
                if let (None, Some(picked)) = (witness.instance(), asker.instance()) {
                    witness.note(picked);
                }
            })?;
            // Copies, or whole pages would be kept with them.
            let items = items.iter().map(|item| Bytes::copy_from_slice(item));
            let items: Arc<[Bytes]> = items.collect();
            let size = |item: &Bytes| size_of::<Bytes>() + item.len();
            own.known.store(Some(Arc::new(Known {
                items: Arc::clone(&items),
                instance: witness.instance(),
                asked,
                generation: counted,
                _held: shelf.hold(items.iter().map(size).sum()),
            })));
            shelf.make_room();
            drop(flight);
            Ok(items)
        });
        asks.await.unwrap_or_else(|_| {
            let text = format!("{} was not asked", door.service.name());
            Err(ListError::Unreadable(text))
        })
    };
    door.in_time(asks).await.map_err(ListError::Refused)?
}
