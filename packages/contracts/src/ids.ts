/** The id and time formats that cross a process: UUID strings and ISO 8601 UTC instants. */
import { z } from 'zod';

/** Any entity's id: a UUID in its canonical lower-case text form (RFC 9562). Made by the application as version 7, so ids sort by time. */
export const idSchema = z.uuid().toLowerCase();

/** An instant, ISO 8601 in UTC with milliseconds, for example `2026-11-22T21:15:00.000Z`. */
export const instantSchema = z.iso.datetime();
