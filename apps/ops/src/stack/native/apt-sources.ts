/** The Debian mirror that this host already uses, read from its own apt configuration. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface AptSource {
  uri: string;
  suites: string[];
  components: string[];
  /** Keyring file, where the entry names one. */
  signedBy: string | undefined;
  trusted: boolean;
}

/** A Debian archive (not security, not backports of something else) among the host's entries; undefined when there is none. */
export function findDebianArchive(sources: readonly AptSource[]): AptSource | undefined {
  return sources.find(
    (source) =>
      /^(https?|file|copy):/.test(source.uri) &&
      /\/debian\/?$/.test(source.uri) &&
      source.components.includes('main') &&
      source.suites.some((suite) => /^(bookworm|trixie|forky|sid|stable|testing|unstable|oldstable)$/.test(suite)),
  );
}

/** Every enabled binary entry of sources.list and sources.list.d, in the order apt reads them. Unreadable files are skipped. */
export async function readAptSources(etcApt = '/etc/apt'): Promise<AptSource[]> {
  const parts = await readdir(join(etcApt, 'sources.list.d')).catch(() => []);
  const files = [
    join(etcApt, 'sources.list'),
    ...parts.toSorted((a, b) => (a < b ? -1 : 1)).map((name) => join(etcApt, 'sources.list.d', name)),
  ];
  const found: AptSource[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.list')) found.push(...parseOneLine(text));
    else if (file.endsWith('.sources')) found.push(...parseDeb822(text));
  }
  return found;
}

/** Entries in the one-line format: `deb [options] uri suite component…`. Source: sources.list(5). */
export function parseOneLine(text: string): AptSource[] {
  const found: AptSource[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/#.*$/, '').trim();
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$/.exec(line);
    if (!match) continue;
    const [, options = '', uri = '', suite = '', components = ''] = match;
    found.push({
      uri,
      suites: [suite],
      components: words(components),
      signedBy: keyring(/signed-by=(\S+)/.exec(options)?.[1]),
      trusted: /trusted=yes/.test(options),
    });
  }
  return found;
}

/** Entries in the deb822 format: paragraphs of `Field: value` with continuation lines. Source: sources.list(5). */
export function parseDeb822(text: string): AptSource[] {
  const found: AptSource[] = [];
  const uncommented = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
  for (const paragraph of uncommented.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    let current = '';
    for (const line of paragraph.split('\n')) {
      const field = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (field) {
        current = (field[1] ?? '').toLowerCase();
        fields.set(current, field[2] ?? '');
      } else if (current !== '' && /^\s/.test(line)) {
        fields.set(current, `${fields.get(current) ?? ''} ${line.trim()}`);
      }
    }
    if (!words(fields.get('types')).includes('deb') || /^no$/i.test(fields.get('enabled') ?? 'yes')) continue;
    for (const uri of words(fields.get('uris'))) {
      found.push({
        uri,
        suites: words(fields.get('suites')),
        components: words(fields.get('components')),
        signedBy: keyring(fields.get('signed-by')?.trim()),
        trusted: /^yes$/i.test(fields.get('trusted') ?? ''),
      });
    }
  }
  return found;
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '');
}

/** Signed-By may also hold a key itself or a fingerprint; only a file can be handed on. */
function keyring(value: string | undefined): string | undefined {
  return value?.startsWith('/') ? value.split(',')[0] : undefined;
}
