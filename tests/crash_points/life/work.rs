//! Everyday work: polls, deliveries, dead letters, and what a person decides about them.

use cta_forwarder::crash::Point;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{BadBlock, CtaFault, CtaFaultOn};

use super::{Died, Life};

impl Life {
    /// All that an agent does; an error is its death.
    pub(super) async fn work(&mut self) -> Result<(), Died> {
        // Before the first poll, so that nothing is delivered beside it.
        self.spoil_a_block();
        self.publish();
        self.start_to_die();
        self.all_is_done().await?;
        self.spoil_a_block();
        self.publish_ahead();
        self.all_is_done().await?;
        let block = self.letters().into_iter().find(|letter| letter.1);
        self.command(&["dead-letters", "drop", &block.unwrap().0, "--yes"])
            .await?;
        // They can be delivered by now.
        self.refused.clear();
        self.rig.hec.change_rules(|rules| rules.refused.clear());
        self.command(&["dead-letters", "retry", "--all", "--output", "splunk"])
            .await?;
        self.all_is_done().await?;
        self.command(&["dead-letters", "drop", "--all", "--yes"])
            .await?;
        let useless = match self.death.point {
            Point::AnswerQuarantined => ArmedFault::until_cleared(CtaFault::MalformedXml),
            _ => ArmedFault::times(2, CtaFault::MalformedXml),
        };
        self.rig.cta.set_fault(useless.on(CtaFaultOn::Poll));
        self.publish_ahead();
        self.all_is_done().await?;
        self.stops().await
    }

    fn spoil_a_block(&self) {
        let block = BadBlock::NotStix;
        let fault = ArmedFault::once(CtaFault::BadBlock { block });
        self.rig.cta.set_fault(fault.on(CtaFaultOn::Poll));
    }
}
