/** Exit 0 when every installed package is the one that package-lock.json names, by version and content hash; else says which is not. */
import { readFileSync } from 'node:fs';

const read = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;
const locked = read('package-lock.json');
const installed = Object.entries(read('node_modules/.package-lock.json')).filter(
  ([path, entry]) => path.includes('node_modules/') && !entry.link,
);
const strangers = installed.filter(([path, entry]) => {
  const expected = locked[path];
  return (
    !expected || expected.version !== entry.version || (expected.integrity && expected.integrity !== entry.integrity)
  );
});

for (const [path, entry] of strangers) process.stderr.write(`${path}@${entry.version} is not in package-lock.json\n`);
process.stdout.write(`${installed.length - strangers.length} of ${installed.length} packages are as locked\n`);
process.exitCode = strangers.length === 0 && installed.length > 0 ? 0 : 1;
