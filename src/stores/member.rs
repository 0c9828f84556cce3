//! Members of a household.

use async_trait::async_trait;

use serde::Serialize;

use super::Stores;
use super::household::loop_owner;
use super::once::{Once, asked};
use super::person::listed_place;
use super::record::{self, Modified, Place, RecordValue, Rounds, modify};
use crate::backend::{CallContext, keys};
use crate::contract::{
    ErrorKind, Expect, LoopMember, LoopMemberStore, LoopScope, MemberId, MemberPatch, MemberStatus, Page, Paged,
    Result, StoreError, Stored, Timestamp, none_if_blank,
};

/// The largest instant of a date in milliseconds: ±8.64e15 ("ECMAScript time values"), exact in a double.
const MAX_DATE_MS: i64 = 8_640_000_000_000_000;

impl RecordValue for LoopMember {
    const TYPE: &'static str = "member";

    fn fits(&self, record_key: &str) -> bool {
        self.member_id.canonical() == record_key
    }
}

fn place(scope: &LoopScope, member: &MemberId) -> Place {
    Place {
        partition: keys::loop_partition(scope),
        key: keys::member_key(member),
        owner: loop_owner(scope),
        record_key: member.canonical(),
    }
}

fn check_birthday(birthday: Option<i64>) -> Result<()> {
    match birthday {
        Some(ms) if !(-MAX_DATE_MS..=MAX_DATE_MS).contains(&ms) => {
            Err(StoreError::invalid("birthday_ms", "it is outside ±8.64e15"))
        }
        _ => Ok(()),
    }
}

fn check_status(status: MemberStatus) -> Result<()> {
    match status {
        MemberStatus::Removed => Err(StoreError::invalid("status", "a member is removed by removing it")),
        _ => Ok(()),
    }
}

fn apply(patch: MemberPatch, member: &mut LoopMember, now: Timestamp) {
    patch.account_id.apply(&mut member.account_id);
    patch.email.apply_text(&mut member.email);
    patch.first_name.apply_text(&mut member.first_name);
    patch.last_name.apply_text(&mut member.last_name);
    patch.gender.apply_text(&mut member.gender);
    patch.phone_number.apply_text(&mut member.phone_number);
    patch.nickname.apply_text(&mut member.nickname);
    patch.phonetic_name.apply_text(&mut member.phonetic_name);
    patch.legal_guardian.apply(&mut member.legal_guardian);
    patch.birthday_ms.apply(&mut member.birthday_ms);
    member.is_child = patch.is_child.unwrap_or(member.is_child);
    member.face_enrolled = patch.face_enrolled.unwrap_or(member.face_enrolled);
    member.voice_enrolled = patch.voice_enrolled.unwrap_or(member.voice_enrolled);
    member.status = patch.status.unwrap_or(member.status);
    if let Some(member_type) = patch.member_type {
        member.member_type = normal_type(&member_type);
    }
    if patch.mark_portal_edited {
        member.portal_edited = Some(now);
    }
}

/// Trims every text, and takes blank for none.
fn tidy(member: &mut LoopMember) {
    let texts = [
        &mut member.email,
        &mut member.first_name,
        &mut member.last_name,
        &mut member.gender,
        &mut member.phone_number,
        &mut member.nickname,
        &mut member.phonetic_name,
    ];
    for text in texts {
        *text = none_if_blank(text.take());
    }
    member.member_type = normal_type(&member.member_type);
}

fn normal_type(member_type: &str) -> String {
    member_type.trim().to_lowercase()
}

/// The fields of a change, as arguments of a call.
fn asked_patch(patch: &MemberPatch) -> impl Serialize {
    let MemberPatch {
        account_id,
        email,
        first_name,
        last_name,
        gender,
        phone_number,
        nickname,
        phonetic_name,
        legal_guardian,
        birthday_ms,
        is_child,
        face_enrolled,
        voice_enrolled,
        status,
        member_type,
        mark_portal_edited,
    } = patch.clone();
    (
        (account_id.asked(), email.asked(), first_name.asked(), last_name.asked(), gender.asked()),
        (phone_number.asked(), nickname.asked(), phonetic_name.asked(), legal_guardian.asked(), birthday_ms.asked()),
        (is_child, face_enrolled, voice_enrolled, status, member_type, mark_portal_edited),
    )
}

impl Stores {
    async fn check_guardian(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        member: &MemberId,
        guardian: Option<&MemberId>,
    ) -> Result<()> {
        let Some(guardian) = guardian else { return Ok(()) };
        if guardian == member {
            return Err(StoreError::invalid("legal_guardian", "a member can't be its own guardian"));
        }
        let place = place(scope, guardian);
        let found = record::get::<LoopMember>(&*self.shared.backends.identity, &cx.latest(), &place).await?;
        match found {
            Some(found) if found.status != MemberStatus::Removed => Ok(()),
            _ => Err(StoreError::invalid("legal_guardian", "it is not a member of the household")),
        }
    }
}

#[async_trait]
impl LoopMemberStore for Stores {
    async fn member(&self, scope: &LoopScope, member: &MemberId) -> Result<Option<Stored<LoopMember>>> {
        self.read("member.get", |cx| async move {
            record::get(&*self.shared.backends.identity, &cx, &place(scope, member)).await
        })
        .await
    }

    async fn add_member(&self, scope: &LoopScope, mut member: LoopMember) -> Result<Stored<LoopMember>> {
        self.write("member.add", |cx| async move {
            check_birthday(member.birthday_ms)?;
            check_status(member.status)?;
            if member.portal_edited.is_some_and(|at| !at.is_storable()) {
                return Err(StoreError::invalid("portal_edited", "it is outside the years 0 to 9999"));
            }
            tidy(&mut member);
            let backend = &*self.shared.backends.identity;
            let place = place(scope, &member.member_id);
            let once = Once::new(backend, &cx, &place, &member)?;
            let guardian = member.legal_guardian.as_ref();
            if let Err(refused) = self.check_guardian(&cx, scope, &member.member_id, guardian).await {
                return match once.earlier_instead_of(&refused).await? {
                    Some(earlier) => once.recall(&place, &earlier, member).await,
                    None => Err(refused),
                };
            }
            let mut rounds = Rounds::new(&cx);
            loop {
                rounds.next().await?;
                match once.put(&place, member.clone(), &Expect::Absent).await {
                    Err(error) if *error.kind() == ErrorKind::AlreadyExists => {}
                    ended => return Ok(ended?.0),
                }
                // A removed member is taken back.
                let found = record::get::<LoopMember>(backend, &cx.latest(), &place).await?;
                match found {
                    Some(found) if found.status == MemberStatus::Removed => {
                        let expect = Expect::Exact(found.revision().clone());
                        match once.put(&place, member.clone(), &expect).await {
                            Err(error) if error.is_conflict() => {}
                            ended => return Ok(ended?.0),
                        }
                    }
                    Some(_) => return Err(StoreError::new(ErrorKind::AlreadyExists)),
                    None => {}
                }
            }
        })
        .await
    }

    async fn update_member(
        &self,
        scope: &LoopScope,
        member: &MemberId,
        patch: MemberPatch,
        expect: Expect,
    ) -> Result<Stored<LoopMember>> {
        self.write("member.update", |cx| async move {
            if let Some(status) = patch.status {
                check_status(status)?;
            }
            if let crate::contract::Change::Set(birthday) = patch.birthday_ms {
                check_birthday(Some(birthday))?;
            }
            let now = cx.now();
            let backend = &*self.shared.backends.identity;
            let place = place(scope, member);
            let once = Once::new(backend, &cx, &place, &(asked_patch(&patch), asked(&expect)))?;
            let change = |member: &mut LoopMember| {
                if member.status == MemberStatus::Removed {
                    return Err(record::not_found());
                }
                apply(patch.clone(), member, now);
                Ok(true)
            };
            if let crate::contract::Change::Set(guardian) = &patch.legal_guardian
                && let Err(refused) = self.check_guardian(&cx, scope, member, Some(guardian)).await
            {
                return match once.earlier_instead_of(&refused).await? {
                    Some(earlier) => record::changed_before(&once, &place, &earlier, change).await,
                    None => Err(refused),
                };
            }
            let changed = modify(backend, &once, &cx, &place, &expect, change);
            match changed.await? {
                Some(Modified::Changed(stored) | Modified::Kept(stored)) => Ok(stored),
                None => Err(record::not_found()),
            }
        })
        .await
    }

    async fn remove_member(
        &self,
        scope: &LoopScope,
        member: &MemberId,
        expect: Expect,
    ) -> Result<Option<Stored<LoopMember>>> {
        self.write("member.remove", |cx| async move {
            let backend = &*self.shared.backends.identity;
            let place = place(scope, member);
            let once = Once::new(backend, &cx, &place, &asked(&expect))?;
            let changed = modify(backend, &once, &cx, &place, &expect, |member: &mut LoopMember| {
                let was_live = member.status != MemberStatus::Removed;
                member.status = MemberStatus::Removed;
                Ok(was_live)
            });
            Ok(match changed.await? {
                Some(Modified::Changed(stored)) => Some(stored),
                Some(Modified::Kept(_)) | None => None,
            })
        })
        .await
    }

    async fn members(&self, scope: &LoopScope, include_removed: bool, page: Page) -> Result<Paged<Stored<LoopMember>>> {
        self.read("member.list", |cx| async move {
            let backend = &*self.shared.backends.identity;
            let partition = keys::loop_partition(scope);
            let max = backend.limits().page;
            let list = (partition.as_str(), keys::MEMBERS);
            let mut paged: Paged<Stored<LoopMember>> =
                record::page(backend, &cx, list, &page, max, |record| listed_place(scope, record, keys::MEMBERS))
                    .await?;
            paged.items.retain(|member| include_removed || member.status != MemberStatus::Removed);
            Ok(paged)
        })
        .await
    }
}
