/** What one worker process may be asked to do; every role can also run in a process of its own. */

export const workerRoles = ['relay', 'fan-out', 'jobs', 'schedules', 'mail', 'seals'] as const;
