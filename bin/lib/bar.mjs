/** A progress line: a moving bar on a terminal, a plain line for every fifth of the work elsewhere. */

const WIDTH = 24;
const HEARTBEAT_MS = 10_000;

/** Starts the line at once, so that the person sees that something happens. */
export function createBar(label, sink) {
  const moving = sink.isTTY === true && !process.env.CI;
  const began = Date.now();
  const seconds = () => `${Math.round((Date.now() - began) / 1000)} s`;
  let shown = 0;
  let latest = '';
  if (!moving) sink.write(`${label} …\n`);
  const draw = (fraction, detail) => {
    const full = Math.round(fraction * WIDTH);
    sink.write(
      `\r\u001b[2K${label}  ${'█'.repeat(full)}${'░'.repeat(WIDTH - full)} ${Math.round(fraction * 100)} %  ${detail}`,
    );
  };
  const heartbeat = setInterval(() => {
    if (!moving) sink.write(`${label}: ${latest === '' ? '' : `${latest}, `}${seconds()}\n`);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  if (moving) draw(0, '');
  return {
    update(fraction, detail) {
      latest = detail;
      if (moving) return draw(fraction, detail);
      if (fraction - shown < 0.2) return;
      shown = fraction;
      sink.write(`${label}: ${detail}\n`);
    },
    done() {
      clearInterval(heartbeat);
      sink.write(`${moving ? '\r\u001b[2K' : ''}✓ ${label}: done in ${seconds()}\n`);
    },
    fail() {
      clearInterval(heartbeat);
      sink.write(`${moving ? '\r\u001b[2K' : ''}✗ ${label}\n`);
    },
  };
}
