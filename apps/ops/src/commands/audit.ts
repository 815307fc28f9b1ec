/** `novax audit`: checks the audit trail against its seals and its anchors. */
import type { Command } from '@commander-js/extra-typings';
import { createAnchorStore } from '@novax/adapters/blobs';
import type { Ask } from '@novax/db/person-keys';
import { allChains } from '@novax/db/queries/audit-verify';
import type { Statement, Value } from '@novax/db/statement';
import { readAnchors } from '@novax/domain/audit/anchors';
import { verifyChain, type ChainVerdict } from '@novax/domain/audit/verify';
import { createSigner, signingKeysSchema } from '@novax/runtime/signing';
import type pg from 'pg';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples } from '../cli/command.ts';
import { connectDatabase, reasonOf, rowsOf } from '../database/connect.ts';
import { need, readSettings, type Settings } from '../database/settings.ts';

/** Adds `verify`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('verify')
    .summary('walk the chains of seals from the first one on; exit 1 when one is broken')
    .description(
      'Checks every signature, link and sealed entry, that no entry lies behind the seals without one, and that each chain reaches the head that was anchored outside the database.',
    )
    .option('--organization <slug|id>', 'one organization only (default: every chain, that of the system too)')
    .addHelpText('after', examples('novax audit verify', 'novax audit verify --organization acme -o json'))
    .action(async ({ organization }) => verify(context(), organization));
}

async function verify(context: CommandContext, organization: string | undefined): Promise<void> {
  const { out, signal } = context;
  const settings = await readSettings(context);
  // Bypasses policies and may only read: what it misses would pass for sound.
  const url = need(settings, 'DATABASE_BACKUP_URL');
  const signer = signerOf(need(settings, 'AUDIT_SIGNING_KEY'));
  const progress = out.progress('audit');
  try {
    await using client = await connectDatabase(url, { name: 'novax-audit' });
    const ask: Ask = async <Row>(statement: Statement<Row>, values: readonly Value[]) => {
      const { rows } = await client.query(statement.text, [...values]);
      // The statement's declaration is the typed edge.
      return rows as readonly Row[];
    };
    progress.update('reading anchors', 0);
    const { anchors, note } = await anchorsOf(settings, signer);
    const chains =
      organization === undefined
        ? [...new Set([...(await ask(allChains, [])).map(({ chain }) => chain), ...(anchors?.keys() ?? [])])]
        : [await organizationId(client, organization)];
    const verdicts: ChainVerdict[] = [];
    for (const [index, chain] of chains.entries()) {
      signal.throwIfAborted();
      const onProgress = ({ seal, of }: { seal: number; of: number }): void => {
        signal.throwIfAborted();
        progress.update(`chain ${index + 1} of ${chains.length}`, (index + seal / of) / chains.length);
      };
      const anchored = anchors?.get(chain) ?? null;
      verdicts.push(await verifyChain({ ask, signer, anchored, onProgress }, chain === 'system' ? null : chain));
    }
    report(context, { verdicts, note, finish: progress });
  } catch (error) {
    progress.fail();
    throw error;
  }
}

function report(
  { out }: CommandContext,
  found: {
    verdicts: readonly ChainVerdict[];
    note: string | null;
    finish: { done(text: string): void; fail(text: string): void };
  },
): void {
  const { verdicts, note, finish } = found;
  const broken = verdicts.flatMap(({ chain, firstBroken }) =>
    firstBroken === null ? [] : [{ chain, ...firstBroken }],
  );
  const sum = (of: (verdict: ChainVerdict) => number): number =>
    verdicts.reduce((total, verdict) => total + of(verdict), 0);
  const words = `${sum(({ entries }) => entries)} entries under ${sum(({ seals }) => seals)} seals of ${verdicts.length} chains, ${sum(({ pending }) => pending)} too young`;
  out.json({ ok: broken.length === 0, anchors: note === null, chains: verdicts });
  if (note !== null) out.note(note);
  for (const { chain, lostByRestore } of verdicts) {
    if (lostByRestore.length > 0)
      out.note(
        `${chain}: ${lostByRestore.length} heads that were anchored before a restore are not in what was restored, from seal ${Math.min(...lostByRestore)} on`,
      );
  }
  const [first] = broken;
  if (first === undefined) return finish.done(`every chain holds: ${words}`);
  finish.fail(`${broken.length} of ${verdicts.length} chains are broken`);
  for (const { chain, sealNo, auditId, problem } of broken)
    out.line(
      `${out.colors.red('FAIL')}  ${chain}  seal ${sealNo}${auditId === null ? '' : `, entry ${auditId}`}: ${problem}`,
    );
  throw new CommandFailure(`the audit trail is broken: ${first.problem}`, { quiet: out.format === 'json' });
}

function signerOf(text: string) {
  const parsed = signingKeysSchema.safeParse(text);
  if (!parsed.success) throw new CommandFailure('AUDIT_SIGNING_KEY is not base64 of 32 bytes');
  return createSigner(parsed.data);
}

/** Every anchor there is; without a store, or with one that is away, a note instead: the end of a chain is then taken on trust. */
async function anchorsOf({ values }: Settings, signer: ReturnType<typeof createSigner>) {
  try {
    const store = createAnchorStore(values);
    if (store !== null) return { anchors: await readAnchors(store, signer, null), note: null };
    return { anchors: null, note: 'no place for anchors is named: a chain whose end was cut off would not show' };
  } catch (error) {
    return {
      anchors: null,
      note: `anchors are out of reach (${reasonOf(error)}): a chain whose end was cut off would not show`,
    };
  }
}

/** The trail outlives the organization, so any id will do. */
async function organizationId(client: pg.ClientBase, given: string): Promise<string> {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(given)) return given.toLowerCase();
  const [found] = await rowsOf<{ id: string }>(client, 'select id::text from public.organizations where slug = $1', [
    given,
  ]);
  if (found === undefined) throw new CommandFailure(`there is no organization "${given}"`);
  return found.id;
}
