//! Members of a household.

use async_trait::async_trait;

use crate::backend::CallContext;
use crate::contract::{
    Change, ErrorKind, Expect, LoopMember, LoopMemberStore, LoopScope, MemberId, MemberPatch, MemberStatus, Page,
    Paged, Result, StoreError, Stored, Timestamp, none_if_blank,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{
    self, Family, IdempotentCommit, Modified, Patch, Record, Rounds, check_time, fingerprint, modify,
};

/// The largest instant of a date in milliseconds: ±8.64e15 ("ECMAScript time values"), exact in a double.
const MAX_DATE_MS: i64 = 8_640_000_000_000_000;

impl Record for LoopMember {
    type Scope = LoopScope;
    type Id = MemberId;
    const FAMILY: &'static Family = family("member");

    fn named(&self) -> Option<String> {
        Some(self.member_id.canonical())
    }

    /// Trims every text, and takes blank for none.
    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        let texts = [
            &mut self.email,
            &mut self.first_name,
            &mut self.last_name,
            &mut self.gender,
            &mut self.phone_number,
            &mut self.nickname,
            &mut self.phonetic_name,
        ];
        for text in texts {
            *text = none_if_blank(text.take());
        }
        self.member_type = self.member_type.trim().to_lowercase();
        check_birthday(self.birthday_ms)?;
        check_time("portal_edited", self.portal_edited)
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

impl Patch<LoopMember> for MemberPatch {
    fn check(&self) -> Result<()> {
        if let Change::Set(birthday) = self.birthday_ms {
            check_birthday(Some(birthday))?;
        }
        self.status.map_or(Ok(()), check_status)
    }

    fn apply(self, member: &mut LoopMember, now: Timestamp) {
        self.account_id.apply(&mut member.account_id);
        self.email.apply(&mut member.email);
        self.first_name.apply(&mut member.first_name);
        self.last_name.apply(&mut member.last_name);
        self.gender.apply(&mut member.gender);
        self.phone_number.apply(&mut member.phone_number);
        self.nickname.apply(&mut member.nickname);
        self.phonetic_name.apply(&mut member.phonetic_name);
        self.legal_guardian.apply(&mut member.legal_guardian);
        self.birthday_ms.apply(&mut member.birthday_ms);
        member.is_child = self.is_child.unwrap_or(member.is_child);
        member.face_enrolled = self.face_enrolled.unwrap_or(member.face_enrolled);
        member.voice_enrolled = self.voice_enrolled.unwrap_or(member.voice_enrolled);
        member.status = self.status.unwrap_or(member.status);
        member.member_type = self.member_type.unwrap_or_else(|| std::mem::take(&mut member.member_type));
        if self.mark_portal_edited {
            member.portal_edited = Some(now);
        }
    }
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
        let address = LoopMember::address(scope, guardian);
        let found = record::get::<LoopMember>(self.records::<LoopMember>(), &cx.latest(), &address).await?;
        match found {
            Some(found) if found.status != MemberStatus::Removed => Ok(()),
            _ => Err(StoreError::invalid("legal_guardian", "it is not a member of the household")),
        }
    }
}

#[async_trait]
impl LoopMemberStore for Stores {
    async fn member(&self, scope: &LoopScope, member: &MemberId) -> Result<Option<Stored<LoopMember>>> {
        self.get("member.get", (scope, member)).await
    }

    async fn add_member(&self, scope: &LoopScope, mut member: LoopMember) -> Result<Stored<LoopMember>> {
        self.write("member.add", |cx| async move {
            check_status(member.status)?;
            member.admit(None)?;
            let backend = self.records::<LoopMember>();
            let address = LoopMember::address(scope, &member.member_id);
            let once = IdempotentCommit::new(backend, &cx, &address, &member)?;
            let guardian = member.legal_guardian.as_ref();
            if let Err(refused) = self.check_guardian(&cx, scope, &member.member_id, guardian).await {
                return match once.earlier_instead_of(&refused).await? {
                    Some(earlier) => once.recall(&address, &earlier, member).await,
                    None => Err(refused),
                };
            }
            let mut rounds = Rounds::new(&cx);
            loop {
                rounds.next().await?;
                match once.put(&address, member.clone(), &Expect::Absent).await {
                    Err(error) if *error.kind() == ErrorKind::AlreadyExists => {}
                    ended => return Ok(ended?.0),
                }
                // A removed member is taken back.
                let found = record::get::<LoopMember>(backend, &cx.latest(), &address).await?;
                match found {
                    Some(found) if found.status == MemberStatus::Removed => {
                        let expect = Expect::Exact(found.revision().clone());
                        match once.put(&address, member.clone(), &expect).await {
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
            patch.check()?;
            let now = cx.now();
            let backend = self.records::<LoopMember>();
            let address = LoopMember::address(scope, member);
            let once = IdempotentCommit::new(backend, &cx, &address, &(&patch, fingerprint(&expect)))?;
            let change = |member: &mut LoopMember| {
                if member.status == MemberStatus::Removed {
                    return Err(record::not_found());
                }
                patch.clone().apply(member, now);
                Ok(true)
            };
            if let Change::Set(guardian) = &patch.legal_guardian
                && let Err(refused) = self.check_guardian(&cx, scope, member, Some(guardian)).await
            {
                return match once.earlier_instead_of(&refused).await? {
                    Some(earlier) => record::changed_before(&once, &address, &earlier, change).await,
                    None => Err(refused),
                };
            }
            let changed = modify(backend, &once, &cx, &address, &expect, change);
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
            let backend = self.records::<LoopMember>();
            let address = LoopMember::address(scope, member);
            let once = IdempotentCommit::new(backend, &cx, &address, &fingerprint(&expect))?;
            let changed = modify(backend, &once, &cx, &address, &expect, |member: &mut LoopMember| {
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
        let mut paged = self.list::<LoopMember>("member.list", scope, page).await?;
        paged.items.retain(|member| include_removed || member.status != MemberStatus::Removed);
        Ok(paged)
    }
}
