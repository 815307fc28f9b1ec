/** Answers of a server that is on its way out: each closes its connection, so that callers who keep theirs come back somewhere else. */
import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** The class of a server's responses; `leaving` is asked when a head is written, so calls that were in hand at the signal count too. */
export function responseClass(leaving: () => boolean): typeof ServerResponse<IncomingMessage> {
  return class extends ServerResponse<IncomingMessage> {
    override writeHead(
      status: number,
      reasonOrHeaders?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
      headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
    ): this {
      if (leaving()) this.shouldKeepAlive = false;
      return typeof reasonOrHeaders === 'string'
        ? super.writeHead(status, reasonOrHeaders, headers)
        : super.writeHead(status, reasonOrHeaders ?? headers);
    }
  };
}
