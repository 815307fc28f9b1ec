#!/usr/bin/env node
/** Runs a script of the checkout under Node.js 24, installing the dependencies first: `node bin/run.mjs tests/run.ts …`. */
import { resolve } from 'node:path';
import { launch, root } from './lib/launch.mjs';

const [script, ...args] = process.argv.slice(2);
if (script === undefined) {
  process.stderr.write('usage: node bin/run.mjs <script> [arguments]\n');
  process.exitCode = 2;
} else {
  await launch([resolve(root, script), ...args]);
}
