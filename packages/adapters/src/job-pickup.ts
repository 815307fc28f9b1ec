/** Reads a job from a queue back into the registry's types. */
import { type JobName, jobs } from '@novax/contracts/jobs';
import type { JobRun } from '@novax/domain/ports';

/** The job as handlers see it, or an Error that says why nobody here can handle it. */
export function pickUp(job: {
  readonly id: string;
  readonly name: string;
  readonly payload: unknown;
  readonly attempt: number;
}): JobRun | Error {
  if (!isJobName(job.name)) return new Error(`unknown job ${job.name}`);
  const parsed = jobs[job.name].payload.safeParse(job.payload);
  if (!parsed.success) return new Error(`payload of job ${job.name} is not valid: ${parsed.error.message}`);
  return { id: job.id, name: job.name, payload: parsed.data, attempt: job.attempt };
}

function isJobName(name: string): name is JobName {
  return Object.hasOwn(jobs, name);
}
