/** From any Node.js ≥ 18 and an empty checkout to our program running under Node.js 24. */
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';
import { findNode, runNode } from './node24.mjs';

/** The checkout this file belongs to, also when it was reached through a link in node_modules. */
export const root = join(dirname(realpathSync(fileURLToPath(import.meta.url))), '..', '..');

const OLDEST_MAJOR = 18;

/** Installs what is missing, then runs `args` (script first) under Node.js 24 and exits as it exits. */
export async function launch(args, options = {}) {
  try {
    if (Number.parseInt(process.versions.node, 10) < OLDEST_MAJOR)
      throw new Error(`Node.js ${OLDEST_MAJOR} or newer is needed to begin; this is ${process.versions.node}`);
    await ensureInstalled(root);
    const node = findNode(root);
    if (node === undefined) {
      throw new Error(
        `there is no Node.js 24 for ${process.platform} on ${process.arch} among the installed packages; install Node.js 24 and run the same command with it`,
      );
    }
    runNode(node, args, { root, ...options });
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = 1;
  }
}
