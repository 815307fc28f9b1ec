/** `novax keys`: the keys that sign access tokens, made and rotated in a file that running API processes look at. */
import { readFile, stat } from 'node:fs/promises';
import { Option, type Command } from '@commander-js/extra-typings';
import { CommandFailure, examples, UsageFailure, type CommandContext } from '../cli/command.ts';
import { newPrivateJwk, privateJwksSchema, rotated, type PrivateJwks, type SigningAlgorithm } from '../keys/jwks.ts';
import { isMissing, writeJsonAtomically } from '../stack/config.ts';

const algorithmOption = () =>
  new Option('--alg <name>', 'algorithm of the new key').choices(['EdDSA', 'ES256'] as const).default('EdDSA' as const);

/** Adds `new` and `rotate`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('new')
    .summary('write a file with one new private key')
    .argument('<file>', 'where JWT_PRIVATE_KEYS_FILE points; must not exist')
    .addOption(algorithmOption())
    .addHelpText('after', examples('novax keys new /run/secrets/jwt.json', 'novax keys new jwt.json --alg ES256'))
    .action(async (file, { alg }) => create(context(), file, alg));
  command
    .command('rotate')
    .summary('put a new key before the old ones; running API processes follow within seconds')
    .argument('<file>', 'where JWT_PRIVATE_KEYS_FILE points')
    .addOption(algorithmOption())
    .option('--lead <seconds>', 'how long the new key is published before it signs', '300')
    .option('--keep <n>', 'how many old keys stay, the one that signs always', '2')
    .option('--drop <kid>', 'remove this key at once, as when it is no longer secret')
    .addHelpText(
      'after',
      examples(
        'novax keys rotate jwt.json',
        'novax keys rotate jwt.json --drop N0tS3cret… --lead 0',
        'novax keys rotate jwt.json --keep 1 -o json',
      ),
    )
    .action(async (file, options) => rotate(context(), file, options));
}

async function create({ out }: CommandContext, file: string, algorithm: SigningAlgorithm): Promise<void> {
  const there = await stat(file).then(
    () => true,
    (thrown: unknown) => {
      if (isMissing(thrown)) return false;
      throw thrown;
    },
  );
  if (there) throw new CommandFailure(`${file} is there already`, { hint: `novax keys rotate ${file}` });
  const key = newPrivateJwk(algorithm);
  await writeJsonAtomically(file, { keys: [key] }, 0o600);
  out.json({ file, kid: key.kid, alg: key.alg });
  out.line(`${file} holds the key ${key.kid} (${key.alg}).`);
}

async function rotate(
  { out }: CommandContext,
  file: string,
  options: { alg: SigningAlgorithm; lead: string; keep: string; drop?: string | undefined },
): Promise<void> {
  const leadS = wholeNumber('--lead', options.lead, { min: 0, max: 604_800 });
  const keep = wholeNumber('--keep', options.keep, { min: 0, max: 18 });
  const before = await readJwks(file);
  if (options.drop !== undefined && !before.keys.some(({ kid }) => kid === options.drop))
    throw new CommandFailure(`${file} holds no key ${options.drop}`, {
      hint: `it holds ${before.keys.map(({ kid }) => kid).join(', ')}`,
    });
  const now = Math.floor(Date.now() / 1000);
  const { jwks, dropped } = rotated(before, { algorithm: options.alg, now, leadS, keep, drop: options.drop });
  await writeJsonAtomically(file, jwks, 0o600);
  const keys = jwks.keys.map(({ kid, alg, nbf }) => ({ kid, alg, signsFrom: instant(nbf) }));
  out.json({ file, keys, dropped });
  out.table(
    ['KEY', 'ALG', 'SIGNS FROM'],
    keys.map(({ kid, alg, signsFrom }) => [kid, alg, signsFrom ?? 'always']),
  );
  for (const kid of dropped) out.line(`${kid} is gone; its tokens are refused.`);
}

async function readJwks(file: string): Promise<PrivateJwks> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const reason = isMissing(cause) ? 'is not there' : 'cannot be read';
    throw new CommandFailure(`${file} ${reason}`, { cause, hint: `novax keys new ${file}` });
  });
  try {
    return privateJwksSchema.parse(JSON.parse(text));
  } catch {
    // Without the cause: a parser's message may quote the text, which is secret.
    throw new CommandFailure(`${file} is no JWKS of private EdDSA or ES256 keys`);
  }
}

function wholeNumber(name: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = Number(text);
  if (!/^\d{1,7}$/.test(text) || value < min || value > max)
    throw new UsageFailure(`${name} is a whole number from ${min} to ${max}`);
  return value;
}

function instant(seconds: number | undefined): string | null {
  return seconds === undefined ? null : new Date(seconds * 1000).toISOString();
}
