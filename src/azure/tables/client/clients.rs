//! The clients and their operations.

use super::{
    auth::TablesCredential,
    entity::{Entity, IfMatch},
    error::{Error, Operation, code},
    guard, json, multipart,
    query::{Continuation, Query, QueryPage, select},
    transaction::{self, Transaction},
    wire::{Answer, JSON, Outgoing, Wire, key_path, token},
};
use azure_core::http::{ClientOptions, Context, Method, Url};
use std::{fmt, sync::Arc};

/// How to build a [`TablesClient`].
#[derive(Clone, Debug, Default)]
pub(crate) struct TablesClientOptions {
    /// Transport, user agent, tracing and policies of both pipelines; `retry` counts for reads only.
    ///
    /// Per-try policies run after authorisation, see the caller's [`Context`], and get a request whose URL ends with the
    /// table's name: the true one is put in place behind them.
    pub(crate) client_options: ClientOptions,
}

/// One storage account. Clones share connections.
#[derive(Clone)]
pub(crate) struct TablesClient {
    wire: Arc<Wire>,
}

impl TablesClient {
    /// A client of `endpoint`, such as `https://account.table.core.windows.net` or
    /// `http://127.0.0.1:10002/devstoreaccount1`. Sends nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] with `Endpoint` or `Credential`: see [`super::Rule`].
    pub(crate) fn new(
        endpoint: Url,
        credential: TablesCredential,
        options: TablesClientOptions,
    ) -> Result<Self, Error> {
        let wire = Wire::new(endpoint, credential, options.client_options)?;
        Ok(Self { wire: Arc::new(wire) })
    }

    /// A table of this account, which need not exist yet. Sends nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] with `TableName`.
    pub(crate) fn table(&self, name: &str) -> Result<TableClient, Error> {
        guard::table_name(name)?;
        Ok(TableClient { wire: self.wire.clone(), name: name.into() })
    }

    /// Creates a table (REST: "Create Table").
    ///
    /// # Errors
    /// [`Error::Service`] with [`code::TABLE_ALREADY_EXISTS`] if it is there; 409 `TableBeingDeleted` for some time after it
    /// was deleted.
    pub(crate) async fn create_table(&self, ctx: &Context<'_>, name: &str) -> Result<(), Error> {
        guard::table_name(name)?;
        let mut outgoing = Outgoing::new(Operation::CreateTable, Method::Post, "Tables");
        outgoing.body = Some((JSON, json::encode_table_name(name)));
        self.wire.send(ctx, outgoing).await?.success()?;
        Ok(())
    }
}

/// The authority of the endpoint stays out, as it may name an account.
impl fmt::Debug for TablesClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TablesClient").finish_non_exhaustive()
    }
}

/// One table. Clones share connections.
///
/// Every operation fails with [`Error::Invalid`] if the input breaks a limit (nothing was sent), [`Error::Service`] if the
/// service refuses, [`Error::Transport`] or [`Error::Credential`] without an answer, [`Error::Protocol`] if the answer can't be
/// understood. [`Error::outcome_is_open`] tells whether a failed write may have been applied.
#[derive(Clone)]
pub(crate) struct TableClient {
    wire: Arc<Wire>,
    name: Arc<str>,
}

impl fmt::Debug for TableClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableClient").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TableClient {
    /// The table's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reads one row; `names` selects properties, none of them means all. `None` if the row is not there; a missing *table* is
    /// an error.
    pub(crate) async fn get(
        &self,
        ctx: &Context<'_>,
        partition_key: &str,
        row_key: &str,
        names: &[&str],
    ) -> Result<Option<Entity>, Error> {
        guard::keys(partition_key, row_key)?;
        let mut outgoing = Outgoing::new(Operation::Get, Method::Get, &self.name);
        outgoing.keys = key_path(partition_key, row_key);
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            outgoing.query.push(("$select", select(&names)?));
        }
        let answer = self.wire.send(ctx, outgoing).await?;
        if answer.status == 404 {
            let absent = matches!(answer.code().as_deref(), Some(code::RESOURCE_NOT_FOUND | code::ENTITY_NOT_FOUND));
            return if absent { Ok(None) } else { Err(answer.error()) };
        }
        let answer = answer.success()?;
        let mut entity =
            json::decode_entity(&answer.body, (partition_key, row_key)).map_err(|what| answer.protocol(what))?;
        if let Some(etag) = answer.header("etag") {
            entity.etag = Some(etag.to_owned());
        }
        Ok(Some(entity))
    }

    /// Inserts a row that must not exist, and returns its ETag (REST: "Insert Entity").
    ///
    /// # Errors
    /// 409 [`code::ENTITY_ALREADY_EXISTS`].
    pub(crate) async fn insert(&self, ctx: &Context<'_>, entity: &Entity) -> Result<String, Error> {
        guard::entity(entity)?;
        let mut outgoing = Outgoing::new(Operation::Insert, Method::Post, &self.name);
        outgoing.body = Some((JSON, json::encode(entity)));
        self.wire.send(ctx, outgoing).await?.success()?.etag()
    }

    /// Replaces all properties of a row that exists and matches, and returns the new ETag (REST: "Update Entity").
    ///
    /// # Errors
    /// 404 [`code::RESOURCE_NOT_FOUND`], 412 [`code::UPDATE_CONDITION_NOT_SATISFIED`].
    pub(crate) async fn replace(
        &self,
        ctx: &Context<'_>,
        entity: &Entity,
        condition: &IfMatch,
    ) -> Result<String, Error> {
        self.change(ctx, Operation::Replace, Method::Put, entity, condition).await
    }

    /// Sets the given properties of a row that exists and matches, and returns the new ETag (REST: "Merge Entity"). The
    /// service also limits what the row then holds; that can't be checked here.
    ///
    /// # Errors
    /// 404 [`code::RESOURCE_NOT_FOUND`], 412 [`code::UPDATE_CONDITION_NOT_SATISFIED`].
    pub(crate) async fn merge(&self, ctx: &Context<'_>, entity: &Entity, condition: &IfMatch) -> Result<String, Error> {
        self.change(ctx, Operation::Merge, Method::Patch, entity, condition).await
    }

    async fn change(
        &self,
        ctx: &Context<'_>,
        operation: Operation,
        method: Method,
        entity: &Entity,
        condition: &IfMatch,
    ) -> Result<String, Error> {
        guard::entity(entity)?;
        guard::if_match(condition)?;
        let mut outgoing = Outgoing::new(operation, method, &self.name);
        outgoing.keys = key_path(&entity.partition_key, &entity.row_key);
        outgoing.if_match = Some(condition);
        outgoing.body = Some((JSON, json::encode(entity)));
        self.wire.send(ctx, outgoing).await?.success()?.etag()
    }

    /// Deletes a row that exists and matches (REST: "Delete Entity").
    ///
    /// # Errors
    /// 404 [`code::RESOURCE_NOT_FOUND`], 412 [`code::UPDATE_CONDITION_NOT_SATISFIED`].
    pub(crate) async fn delete(
        &self,
        ctx: &Context<'_>,
        partition_key: &str,
        row_key: &str,
        condition: &IfMatch,
    ) -> Result<(), Error> {
        guard::keys(partition_key, row_key)?;
        guard::if_match(condition)?;
        let mut outgoing = Outgoing::new(Operation::Delete, Method::Delete, &self.name);
        outgoing.keys = key_path(partition_key, row_key);
        outgoing.if_match = Some(condition);
        self.wire.send(ctx, outgoing).await?.success()?;
        Ok(())
    }

    /// One page of a query: one request. With a `top` of 1 it is also the cheapest probe of a table.
    pub(crate) async fn query(&self, ctx: &Context<'_>, query: &Query) -> Result<QueryPage, Error> {
        let outgoing = query.outgoing(&self.name)?;
        let answer = self.wire.send(ctx, outgoing).await?.success()?;
        let entities = json::decode_page(&answer.body).map_err(|what| answer.protocol(what))?;
        let continuation = Continuation::of(&answer);
        if query.stays_at(continuation.as_ref()) {
            return Err(answer.protocol("a page continues where it began"));
        }
        Ok(QueryPage { entities, continuation })
    }

    /// Applies a transaction and returns one entry per operation, in order: the new ETag, `None` for a delete.
    ///
    /// The same transaction always encodes to the same bytes, so sending it again is sending the same request.
    ///
    /// # Errors
    /// [`Error::Transaction`] with the failing operation; [`Error::Service`] if the request as a whole was refused.
    pub(crate) async fn execute(
        &self,
        ctx: &Context<'_>,
        transaction: &Transaction,
    ) -> Result<Vec<Option<String>>, Error> {
        let body = transaction.encode(&self.wire.absolute(&self.name))?;
        let mut outgoing = Outgoing::new(Operation::Transaction, Method::Post, "$batch");
        outgoing.body = Some((transaction::CONTENT_TYPE, body));
        let answer = self.wire.send(ctx, outgoing).await?.success()?;
        outcome(transaction, &answer)
    }

    /// Bytes of the encoded transaction, of at most [`super::limit::TRANSACTION_BODY`].
    ///
    /// # Errors
    /// [`Error::Invalid`], exactly when [`TableClient::execute`] would refuse it.
    pub(crate) fn encoded_len(&self, transaction: &Transaction) -> Result<usize, Error> {
        Ok(transaction.encode(&self.wire.absolute(&self.name))?.len())
    }
}

/// A transaction's answer is 202 whatever came of it: only the inner ones tell.
fn outcome(transaction: &Transaction, answer: &Answer) -> Result<Vec<Option<String>>, Error> {
    let content_type = answer.header("content-type").unwrap_or_default();
    let inner = multipart::parse(content_type, &answer.body).map_err(|what| answer.protocol(what))?;
    if let Some(failed) = inner.iter().find(|inner| !(200..300).contains(&inner.status)) {
        let (code, message) = json::decode_error(&failed.body);
        return Err(Error::Transaction {
            index: message.and_then(|message| failing_index(&message)).filter(|index| *index < transaction.len()),
            status: failed.status,
            code: code.and_then(|code| token(&code)),
            request_id: answer.request_id(),
            attempts: answer.attempts,
            retry_after: answer.retry_after(),
        });
    }
    if inner.len() != transaction.len() {
        return Err(answer.protocol("the number of inner answers is not that of the operations"));
    }
    inner
        .into_iter()
        .enumerate()
        .map(|(index, inner)| match (transaction.leaves_row(index), inner.etag) {
            (true, None) => Err(answer.protocol("the inner answer of a write has no ETag")),
            (true, etag) => Ok(etag),
            (false, _) => Ok(None),
        })
        .collect()
}

/// The digits before the first `:` of the message: `1:The update condition …`.
fn failing_index(message: &str) -> Option<usize> {
    message.split_once(':')?.0.parse().ok()
}
