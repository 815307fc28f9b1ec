/** Preloaded into our own processes: when the supervisor is gone, however it went, this process ends in good order. */
import { Socket } from 'node:net';

const LEASH_FD = 3;
const GRACE_MS = 15_000;

const leash = new Socket({ fd: LEASH_FD });
leash.unref();
leash.resume();
leash.on('error', () => undefined);
leash.once('close', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), GRACE_MS).unref();
});
