/** Which Markdown files an import takes, and what of each. */
import type { Dirent } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

export interface SourceFile {
  /** Path below the folder, with forward slashes: the document's title, and what makes importing twice harmless. */
  readonly title: string;
  readonly path: string;
  readonly bytes: number;
}

/** Larger files are left out and named: a request body holds 1 MiB. */
export const fileBytesMax = 900_000;
const skippedFolders = new Set(['.git', '.novax']);

/** Markdown files below a folder, sorted by title; folders named `node_modules` below it are left out, and links are not followed. */
export async function markdownFiles(folder: string): Promise<{ taken: SourceFile[]; tooLarge: SourceFile[] }> {
  const found: SourceFile[] = [];
  await walk(folder, async (entry, path) => {
    if (!entry.isFile() || !/\.(md|markdown)$/i.test(entry.name)) return;
    found.push({ title: relative(folder, path).split(sep).join('/'), path, bytes: (await stat(path)).size });
  });
  found.sort((a, b) => (a.title < b.title ? -1 : 1));
  return {
    taken: found.filter((file) => file.bytes <= fileBytesMax),
    tooLarge: found.filter((file) => file.bytes > fileBytesMax),
  };
}

async function walk(folder: string, visit: (entry: Dirent, path: string) => Promise<void>): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!skippedFolders.has(entry.name) && entry.name !== 'node_modules') await walk(path, visit);
    } else await visit(entry, path);
  }
}

/** READMEs of the packages installed in a `node_modules` folder, each titled `package/README.md`, at most `count`, spread over the alphabet. */
export async function packageReadmes(nodeModules: string, count: number): Promise<SourceFile[]> {
  const found: SourceFile[] = [];
  for (const name of await packageNames(nodeModules)) {
    const path = join(nodeModules, name, 'README.md');
    const bytes = await stat(path).then(
      (it) => it.size,
      () => 0,
    );
    // Shorter ones say nothing but their name; longer ones are change logs.
    if (bytes >= 500 && bytes <= 60_000) found.push({ title: `${name}/README.md`, path, bytes });
  }
  const step = Math.max(found.length / count, 1);
  return Array.from({ length: Math.min(count, found.length) }, (_, index) => found[Math.floor(index * step)]).filter(
    (file) => file !== undefined,
  );
}

async function packageNames(nodeModules: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(nodeModules, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    if (!entry.name.startsWith('@')) names.push(entry.name);
    else {
      // Links lead to the workspace's own packages.
      const scoped = await readdir(join(nodeModules, entry.name), { withFileTypes: true });
      names.push(...scoped.filter((it) => it.isDirectory()).map((it) => `${entry.name}/${it.name}`));
    }
  }
  return names.sort();
}

/** The file's text. Characters a database cannot hold (NUL) are left out. */
export async function readText(file: SourceFile): Promise<string> {
  return (await readFile(file.path, 'utf8')).replaceAll('\0', '');
}
