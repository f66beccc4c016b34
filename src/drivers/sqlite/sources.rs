//! How far sources of lines were read: logs of containers in one table, everything else in another.
//!
//! Tests: `tests/store_conformance.rs`.

use rusqlite::{Connection, params};

use super::columns::{Cells, number};
use crate::domain::{AgentName, ContainerPosition, LogPosition, SourceId, SourcePlace};
use crate::ports::store::StoreError;

/// Writes a position down, or forgets that of a file that is gone.
pub(super) fn save(conn: &Connection, agent: &AgentName, position: &LogPosition) -> Result<(), StoreError> {
    let (source, place, at) = match position {
        LogPosition::Container(ContainerPosition { container, at_ns, seen }) => {
            conn.prepare_cached("INSERT OR REPLACE INTO logs (agent, container, at_ns, seen) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![agent.as_str(), container, at_ns, seen])?;
            return Ok(());
        }
        LogPosition::Source { source, place, at } => (source.to_string(), place, at.0),
    };
    let (file, offset, cursor) = match place {
        SourcePlace::Gone { path } => {
            conn.prepare_cached("DELETE FROM sources WHERE agent = ?1 AND source = ?2 AND file = ?3")?
                .execute(params![agent.as_str(), source, path])?;
            return Ok(());
        }
        SourcePlace::Known => (None, None, None),
        SourcePlace::File { file, offset, .. } => (Some(*file), Some(*offset), None),
        SourcePlace::Journal { cursor } => (None, None, Some(cursor)),
    };
    conn.prepare_cached(
        "INSERT OR REPLACE INTO sources (agent, source, file, device, inode, offset, cursor, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        agent.as_str(),
        source,
        position.part(),
        file.map(|(device, _)| number(device)),
        file.map(|(_, inode)| number(inode)),
        offset.map(number),
        cursor,
        at,
    ])?;
    Ok(())
}

/// How far everything has been read, in the order of the agents.
pub(super) fn log_positions(conn: &Connection) -> Result<Vec<(AgentName, LogPosition)>, StoreError> {
    let mut all = of_containers(conn)?;
    let mut statement = conn.prepare_cached("SELECT * FROM sources ORDER BY agent, source, file")?;
    let others = statement.query_and_then([], |row| {
        let cells = Cells::new("sources", row);
        let source = SourceId::parse(&cells.get::<String>("source")?).ok_or_else(|| cells.fault("source"))?;
        let (path, offset): (String, Option<i64>) = (cells.get("file")?, cells.get("offset")?);
        let place = match (offset, cells.get::<Option<String>>("cursor")?) {
            (Some(offset), _) => {
                let file = (cells.number("device")?, cells.number("inode")?);
                SourcePlace::File { path, file, offset: offset.cast_unsigned() }
            }
            (None, Some(cursor)) => SourcePlace::Journal { cursor },
            (None, None) => SourcePlace::Known,
        };
        Ok((cells.name("agent")?, LogPosition::Source { source, place, at: cells.wall("at")? }))
    })?;
    all.extend(others.collect::<Result<Vec<_>, StoreError>>()?);
    // Stable: of each agent its container's comes first.
    all.sort_by(|(one, _), (other, _): &(AgentName, LogPosition)| one.cmp(other));
    Ok(all)
}

fn of_containers(conn: &Connection) -> Result<Vec<(AgentName, LogPosition)>, StoreError> {
    conn.prepare_cached("SELECT * FROM logs ORDER BY agent")?
        .query_and_then([], |row| {
            let cells = Cells::new("logs", row);
            let position = ContainerPosition {
                container: cells.get("container")?,
                at_ns: cells.get("at_ns")?,
                seen: cells.small("seen")?,
            };
            Ok((cells.name("agent")?, LogPosition::Container(position)))
        })?
        .collect()
}
