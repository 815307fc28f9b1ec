/** The contract and its handlers as one flat table by `feature.verb`. */
import { contract } from '@novax/contracts/api/contract';
import type { Row } from '@novax/contracts/procedure';
import type { Handlers } from './context.ts';
import type { Procedure } from './invoke.ts';

/** Every row with its handler; the types already guarantee that none is missing. */
export function procedureTable(handlers: Handlers): ReadonlyMap<string, Procedure> {
  const table = new Map<string, Procedure>();
  const features: Record<string, Record<string, Row>> = contract;
  // Same keys as the contract, by the type of Handlers.
  const functions = handlers as unknown as Record<string, Record<string, Procedure['handler']>>;
  for (const [feature, rows] of Object.entries(features)) {
    for (const [verb, row] of Object.entries(rows)) {
      const handler = functions[feature]?.[verb];
      if (handler === undefined) throw new Error(`no handler for ${feature}.${verb}`);
      table.set(`${feature}.${verb}`, { path: `${feature}.${verb}`, row, handler });
    }
  }
  return table;
}
