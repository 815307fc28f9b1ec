/** A log that says nothing; `NOVAX_TEST_LOG` names a level to hear it. */
import pino from 'pino';

export const quiet = pino({ level: process.env['NOVAX_TEST_LOG'] ?? 'silent' });
