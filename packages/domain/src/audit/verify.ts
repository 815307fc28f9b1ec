/** Checks a chain from its first seal on: links, signatures, every row under a seal, and that no row lies where one should be. */
import {
  chainState,
  chainStatements,
  nextSeals,
  type ChainState,
  type HashedRow,
  type SealRow,
} from '@novax/db/queries/audit-verify';
import type { Ask } from '@novax/db/person-keys';
import { only } from '@novax/runtime/invariant';
import type { Signer } from '@novax/runtime/signing';
import type { AnchoredHeads } from './anchors.ts';
import { hashBytes, sealHash, signedText } from './seal-hash.ts';

export interface Broken {
  /** Zero when no seal is concerned. */
  readonly sealNo: number;
  readonly auditId: string | null;
  readonly problem: string;
}

export interface ChainVerdict {
  /** Organization id, or `system`. */
  readonly chain: string;
  readonly seals: number;
  /** Entries under a seal. */
  readonly entries: number;
  /** Entries too young to be sealed. */
  readonly pending: number;
  readonly head: { readonly sealNo: number; readonly hash: string; readonly anchoredAt: string | Date | null } | null;
  /** Null when everything holds. */
  readonly firstBroken: Broken | null;
  /** Seals that were anchored before a restore and are not in what was restored. */
  readonly lostByRestore: readonly number[];
}

export interface VerifyParts {
  /** Sends statements under a scope that sees the chain. */
  readonly ask: Ask;
  readonly signer: Signer;
  /** Heads of this chain as they stand outside the database; null where that is out of reach. */
  readonly anchored: AnchoredHeads | null;
  readonly onProgress?: (done: { readonly seal: number; readonly of: number }) => void;
}

/** What a seal must continue. */
interface Link {
  readonly no: bigint;
  readonly hash: string;
  readonly epoch: number;
  readonly toXact: bigint;
}

/** Reads the whole chain in bounded pieces and names the first thing that is wrong. `organizationId` null is the chain of rows without one. */
export async function verifyChain(parts: VerifyParts, organizationId: string | null): Promise<ChainVerdict> {
  const chain = organizationId ?? 'system';
  const state = only(await parts.ask(chainState, [chain]), 'audit_chain_state');
  const walk = await walkSeals(parts, { chain, organizationId, state });
  const counted = await countRows(parts, organizationId, state);
  const last = walk.last;
  const firstBroken =
    walk.broken ?? (await findExtra(parts, { chain, organizationId, state, entries: walk.entries, counted }));
  return {
    chain,
    seals: Number(state.head_no ?? 0),
    entries: Number(state.sealed_rows),
    pending: counted.rows - counted.covered,
    head: last && { sealNo: Number(last.seal_no), hash: last.hash, anchoredAt: last.anchored_at },
    firstBroken,
    lostByRestore: walk.lost,
  };
}

interface Chain {
  readonly chain: string;
  readonly organizationId: string | null;
  readonly state: ChainState;
}

async function walkSeals(parts: VerifyParts, at: Chain) {
  const { ask, anchored } = parts;
  const head = BigInt(at.state.head_no ?? 0);
  const lost: number[] = [];
  let link: Link = { no: 0n, hash: '0'.repeat(hashBytes * 2), epoch: 0, toXact: 0n };
  let last: SealRow | null = null;
  let entries = 0;
  const stop = (broken: Broken | null) => ({ broken, last, entries, lost });
  while (link.no < head) {
    const seals = await ask(nextSeals, [at.chain, String(link.no)]);
    if (seals.length === 0) return stop(broken(link.no + 1n, 'the seal is missing'));
    const rows = await rowsOf(ask, at.organizationId, seals);
    for (const seal of seals) {
      if (link.no >= head) break;
      const fault = sealFault(seal, link, { chain: at.chain, signer: parts.signer }) ?? rowFault(seal, rows);
      if (fault !== null) return stop(fault);
      const anchor = anchored?.get(seal.seal_no);
      if (anchor !== undefined && anchor.hash !== seal.hash) {
        if (anchor.epoch === at.state.epoch)
          return stop(broken(seal.seal_no, 'the seal is not the one that was anchored outside the database'));
        lost.push(Number(seal.seal_no));
      }
      link = { no: BigInt(seal.seal_no), hash: seal.hash, epoch: seal.epoch, toXact: BigInt(seal.to_xact) };
      last = seal;
      entries += seal.row_count;
    }
    parts.onProgress?.({ seal: Number(link.no), of: Number(head) });
  }
  if (link.epoch === at.state.epoch && link.toXact > BigInt(at.state.next_xact))
    return stop(broken(link.no, 'the horizon lies before the end of the last seal'));
  for (const [sealNo, { epoch }] of anchored ?? []) {
    if (BigInt(sealNo) <= head) continue;
    if (epoch === at.state.epoch)
      return stop(broken(head + 1n, `the chain ends here, but seal ${sealNo} was anchored outside the database`));
    lost.push(Number(sealNo));
  }
  return stop(null);
}

function broken(sealNo: bigint | string, problem: string, auditId: string | null = null): Broken {
  return { sealNo: Number(sealNo), auditId, problem };
}

/** What is wrong with a seal itself. */
function sealFault(seal: SealRow, link: Link, by: { chain: string; signer: Signer }): Broken | null {
  const { seal_no: no, hash } = seal;
  if (BigInt(no) !== link.no + 1n) return broken(link.no + 1n, 'the seal is missing');
  if (seal.previous_hash !== link.hash) return broken(no, 'the seal does not continue the one before it');
  const from = BigInt(seal.from_xact);
  if (seal.epoch < link.epoch || (seal.epoch === link.epoch && from < link.toXact))
    return broken(no, 'the seal begins before the end of the one before it');
  const rowIds = seal.row_ids.split(',');
  const fields = [seal.first_audit_id, seal.last_audit_id, String(seal.row_count)];
  if (fields.join() !== [rowIds[0], rowIds.at(-1), String(rowIds.length)].join())
    return broken(no, 'the seal does not agree with its own list of entries');
  const computed = sealHash({
    id: seal.id,
    chain: by.chain,
    sealNo: no,
    epoch: seal.epoch,
    fromXact: seal.from_xact,
    toXact: seal.to_xact,
    createdAt: seal.created_us,
    rowIds,
    rowHashes: Buffer.from(seal.row_hashes, 'hex'),
    previousHash: Buffer.from(seal.previous_hash, 'hex'),
  });
  if (computed.toString('hex') !== hash) return broken(no, 'the seal was changed');
  if (!by.signer.verify(signedText(computed), Buffer.from(seal.signature, 'hex'), seal.key_id))
    return broken(no, 'the seal is not signed by a key of this installation');
  return null;
}

/** Hashes of rows by id; an id that occurs twice has two. */
async function rowsOf(
  ask: Ask,
  organizationId: string | null,
  seals: readonly SealRow[],
): Promise<Map<string, string[]>> {
  const { rowsById } = chainStatements[organizationId === null ? 'system' : 'organization'];
  const ids = seals.map(({ row_ids }) => row_ids).join(',');
  const found = new Map<string, string[]>();
  const rows: readonly HashedRow[] = await ask(rowsById, [`{${ids}}`, organizationId ?? '']);
  for (const { id, hash } of rows) found.set(id, [...(found.get(id) ?? []), hash]);
  return found;
}

/** The first row of a seal that is not as it was sealed. */
function rowFault(seal: SealRow, rows: ReadonlyMap<string, readonly string[]>): Broken | null {
  for (const [at, id] of seal.row_ids.split(',').entries()) {
    const sealed = seal.row_hashes.slice(at * hashBytes * 2, (at + 1) * hashBytes * 2);
    const found = rows.get(id) ?? [];
    if (found.length === 0) return broken(seal.seal_no, 'the entry is missing', id);
    if (found.length > 1) return broken(seal.seal_no, 'the entry is there more than once', id);
    if (found[0] !== sealed) return broken(seal.seal_no, 'the entry was changed', id);
  }
  return null;
}

interface Counted {
  readonly rows: number;
  readonly covered: number;
  readonly impossible: string | null;
}

const pageStart = { at: '-infinity', id: '0' };

async function countRows(parts: VerifyParts, organizationId: string | null, state: ChainState): Promise<Counted> {
  const { countRows: count } = chainStatements[organizationId === null ? 'system' : 'organization'];
  let [rows, covered] = [0, 0];
  let impossible: string | null = null;
  for (let from = pageStart; ;) {
    const page = only(await parts.ask(count, pageValues(from, organizationId, state)), 'audit_count');
    rows += Number(page.rows);
    covered += Number(page.covered);
    impossible ??= page.impossible;
    if (page.last_at === null || page.last_id === null) return { rows, covered, impossible };
    from = { at: page.last_at, id: page.last_id };
  }
}

function pageValues(from: typeof pageStart, organizationId: string | null, state: ChainState) {
  const { epoch, next_xact: next, prior_epoch: priorEpoch, prior_xact: priorXact } = state;
  return [from.at, from.id, epoch, next, String(priorEpoch ?? ''), priorXact ?? '', organizationId ?? ''];
}

/** A row that slipped in: looked for only when the numbers of rows say that there is one. */
async function findExtra(
  parts: VerifyParts,
  at: Chain & { readonly entries: number; readonly counted: Counted },
): Promise<Broken | null> {
  const { organizationId, state, counted, chain } = at;
  const head = state.head_no ?? '0';
  if (counted.covered !== at.entries) {
    const { countRows: count, uncovered } = chainStatements[organizationId === null ? 'system' : 'organization'];
    for (let from = pageStart; ;) {
      const values = pageValues(from, organizationId, state);
      const [extra] = await parts.ask(uncovered, [...values, chain]);
      if (extra !== undefined)
        return broken(extra.seal_no ?? head, 'the entry slipped in behind the seals: none covers it', extra.id);
      const page = only(await parts.ask(count, values), 'audit_count');
      if (page.last_at === null || page.last_id === null) break;
      from = { at: page.last_at, id: page.last_id };
    }
    return broken(head, `${counted.covered} entries should be under a seal, ${at.entries} are`);
  }
  if (counted.impossible === null) return null;
  return broken(head, 'the entry names a transaction that has not been', counted.impossible);
}
