/** The witness's process. */
import { runWitness } from './witness.ts';

await runWitness(process.env);
