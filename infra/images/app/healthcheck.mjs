/** Exit 0 when the process in this container is ready: HEALTH_URL, or /readyz on PORT. */
const url = process.env.HEALTH_URL ?? `http://127.0.0.1:${process.env.PORT ?? 3000}/readyz`;

try {
  const response = await fetch(url, { signal: AbortSignal.timeout(3000) });
  const body = await response.text();
  // What a check prints is shown by `docker inspect`, so it says what is not ready.
  process.stdout.write(`${response.status} ${body.slice(0, 500)}\n`);
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  process.stdout.write(`${url}: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
