#!/usr/bin/env node
/** The `novax` command, from a fresh clone on. */
import { join } from 'node:path';
import { launch, root } from './lib/launch.mjs';

await launch([join(root, 'apps', 'ops', 'src', 'main.ts'), ...process.argv.slice(2)], { interruptTwice: true });
