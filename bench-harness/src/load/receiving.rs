//! What the received bytes make of the requests in flight.

use super::connection::{Connection, Ended};
use super::extract::{CAPTURE_LIMIT, Captured};
use super::in_flight::Label;
use super::protocol::Protocol;
use super::reader::{Answer, ReadError};
use super::tally::Tally;
use super::transport::is_of_session;
use super::worker::Worker;
use crate::quantity::time;
use crate::record::ErrorClass;

impl<P: Protocol> Worker<P> {
    /// Takes a received piece in.
    #[inline]
    pub(super) fn receive(
        &self,
        connection: &Connection,
        protocol: &mut P,
        bytes: &[u8],
    ) -> Result<(), Ended> {
        let now = self.now();
        let (mut tally, mut in_flight) = (self.tally.borrow_mut(), connection.in_flight.borrow_mut());
        tally.bytes_in += bytes.len() as u64;
        let before = in_flight.len();
        let begun = connection.first_byte.get().zip(in_flight.oldest());
        let (mut valid, mut last) = (0, false);
        let (shared, traffic) = (&mut *self.shared.borrow_mut(), &self.job.traffic);
        let outcome = protocol.receive(bytes, shared, traffic, |place, answer| {
            if last {
                return Err(ReadError::Refused("a response after one that ends the connection"));
            }
            if in_flight.len() <= valid + place {
                return Err(ReadError::Refused("a response to no request"));
            }
            if place > 0 {
                tally.complete(&mut in_flight, std::mem::take(&mut valid), now);
                in_flight.bring_forward(place);
            }
            last = !answer.keep_alive;
            let uniform = self.is_uniform();
            let label =
                if uniform { Label::default() } else { in_flight.label_at(valid).unwrap_or_default() };
            if self.judge(&mut tally, label, answer) {
                valid += 1;
            } else {
                // Answers come in order, so the valid ones before this one leave first.
                tally.complete(&mut in_flight, valid, now);
                valid = 0;
                tally.fail(&mut in_flight, 1, now);
                if self.job.traffic.is_scenario() {
                    connection.begin_session_again();
                }
            }
            Ok(())
        });
        tally.complete(&mut in_flight, valid, now);
        let ended = before - in_flight.len();
        if let Some((first, submitted)) = begun
            && ended > 0
        {
            tally.record_split(submitted, first, now);
        }
        if !protocol.is_inside() {
            connection.first_byte.set(None);
        } else if ended > 0 || begun.is_none() {
            connection.first_byte.set(Some(now));
        }
        let idle = in_flight.len() == 0;
        if self.job.traffic.values() > 0 {
            self.capture(connection, &mut tally, bytes, ended > 0 && valid > 0);
        }
        drop((tally, in_flight));
        if ended > 0 {
            connection.answered.set(true);
            self.settle(now, ended);
            if self.job.paced {
                self.pause(connection, now);
            }
        }
        match outcome {
            _ if last => Err(Ended::Announced),
            Ok(()) if idle && connection.left.get() == 0 => Err(Ended::Retired),
            Ok(()) => Ok(()),
            Err(ReadError::Closed) => Err(Ended::Closed),
            Err(error) => Err(Ended::Malformed(error)),
        }
    }

    /// Keeps the bytes of an answer that values are to be taken out of, and takes them out when it is whole.
    ///
    /// A session whose answer lacks a value, or was not valid, has nothing to go on with: it begins again.
    #[cold]
    fn capture(&self, connection: &Connection, tally: &mut Tally, bytes: &[u8], whole: bool) {
        let mut session = connection.session.borrow_mut();
        let steps = self.job.traffic.kinds() as u16;
        let answered = (session.step + steps - 1) % steps;
        let extract = self.job.traffic.extract(answered);
        if extract.is_empty() {
            return;
        }
        let room = CAPTURE_LIMIT.saturating_sub(session.capture.len()).min(bytes.len());
        session.capture.extend_from_slice(&bytes[..room]);
        if !whole {
            return;
        }
        let captured = Captured::parse(&session.capture);
        for (place, extraction) in extract {
            match captured.as_ref().and_then(|answer| extraction.find(answer)) {
                Some(value) => session.values[*place] = value,
                None => {
                    tally.errors.add(ErrorClass::MissingValue, 1, || format!("`{}`", extraction.name));
                    session.step = 0;
                    connection.session_left.set(0);
                }
            }
        }
        session.capture.clear();
    }

    /// Counts an answer, and says whether it is valid.
    #[inline]
    fn judge(&self, tally: &mut Tally, label: Label, answer: Answer) -> bool {
        if P::STATUS {
            let class = usize::from(answer.status / 100);
            tally.status[if class < 6 { class } else { 0 }] += 1;
            if !self.job.expect.accepts(answer.status) {
                tally.errors.add(ErrorClass::UnexpectedStatus, 1, || answer.status.to_string());
                return false;
            }
        }
        let kind = label.kind;
        if !self.job.expect.same_length {
            return true;
        }
        if P::ECHOES {
            if answer.mark != label.mark {
                let detail = || format!("a message of {} bytes that is not the one sent", answer.body);
                tally.errors.add(ErrorClass::UnexpectedContent, 1, detail);
            }
            return answer.mark == label.mark;
        }
        if !self.job.traffic.same_length(kind) {
            return true;
        }
        let mut lengths = self.first_lengths.borrow_mut();
        let first =
            *lengths[usize::from(kind)].get_or_insert_with(|| self.job.first_length(kind, answer.body));
        if answer.body != first {
            let detail = || format!("{} bytes after a first response of {first}", answer.body);
            tally.errors.add(ErrorClass::UnexpectedLength, 1, detail);
        }
        answer.body == first
    }

    /// Counts the body that the end of the connection completes, where there is one.
    pub(super) fn receive_end(&self, connection: &Connection, protocol: &mut P) {
        let Some(answer) = protocol.finish() else { return };
        let (mut tally, mut in_flight) = (self.tally.borrow_mut(), connection.in_flight.borrow_mut());
        let (Some(submitted), Some(label)) = (in_flight.oldest(), in_flight.label_at(0)) else { return };
        let now = self.now();
        let valid = self.judge(&mut tally, label, answer);
        if valid {
            tally.complete(&mut in_flight, 1, now);
        } else {
            tally.fail(&mut in_flight, 1, now);
            if self.job.traffic.is_scenario() {
                connection.begin_session_again();
            }
        }
        if self.job.traffic.values() > 0 {
            self.capture(connection, &mut tally, &[], valid);
        }
        if let Some(first) = connection.first_byte.take() {
            tally.record_split(submitted, first, now);
        }
        drop((tally, in_flight));
        connection.answered.set(true);
        self.settle(now, 1);
        if self.job.paced {
            self.pause(connection, now);
        }
    }

    /// Counts what was lost when a connection ended.
    pub(super) fn connection_ended(&self, connection: &Connection, ended: &Ended) {
        let now = self.now();
        let (mut tally, mut in_flight) = (self.tally.borrow_mut(), connection.in_flight.borrow_mut());
        let lost = in_flight.len();
        match ended {
            Ended::Closed | Ended::Announced | Ended::Retired => {
                if lost > 0 {
                    let detail = || format!("with {lost} requests unanswered");
                    tally.errors.add(ErrorClass::EarlyClose, lost, detail);
                }
            }
            Ended::Reset(error) => {
                let class = if is_of_session(error) { ErrorClass::Tls } else { ErrorClass::Reset };
                tally.errors.add(class, lost.max(1), || error.to_string());
            }
            Ended::Malformed(error) => {
                tally.errors.add(ErrorClass::Malformed, lost.max(1), || error.to_string());
            }
            Ended::TimedOut => {
                let detail = || format!("no answer within {}", time(self.job.timeout));
                tally.errors.add(ErrorClass::Timeout, lost, detail);
                tally.time_out(&mut in_flight, now);
            }
        }
        if self.job.traffic.is_scenario() && lost > 0 {
            connection.begin_session_again();
        }
        tally.cut_off(&mut in_flight, now);
        connection.leave(now);
        drop((tally, in_flight));
        self.settle(now, lost);
    }
}
