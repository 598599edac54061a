use super::{
    call::Call, courier::Courier, exchange::Outcome, messages::Messages, session::Session,
    upstream::Upstream,
};
use bartizan_protocol::headers::MCP_SESSION_ID;

impl<U: Upstream> Courier<U> {
    /// Begins the session of a client again, without its noticing.
    pub(super) async fn again(&self, initialize: &Call, initialized: Option<&Call>) -> Outcome {
        let Ok(response) = self.post(initialize, None).await else {
            return Outcome::Done;
        };
        if !response.status().is_success() {
            return Outcome::Done;
        }
        let id = response.headers().get(MCP_SESSION_ID).cloned();
        let mut messages = Messages::new(response, self.limits.answer_bytes);
        while let Some(Ok(message)) = messages.next().await {
            let Some(session) = Session::begun(id.clone(), &message) else {
                continue;
            };
            if let Some(initialized) = initialized {
                self.tell(initialized, Some(&session)).await;
            }
            return Outcome::Begun(session);
        }
        Outcome::Done
    }
}
