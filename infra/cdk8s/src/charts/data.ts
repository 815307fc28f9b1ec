/** The data services of a deployment. */
import type { App, Chart } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { addDataService } from '../constructs/data-service.ts';
import { addChart } from './chart.ts';
import { meilisearchService } from './meilisearch.ts';
import { natsService } from './nats.ts';
import { postgresService } from './postgres.ts';
import { valkeyCacheService, valkeyQueueService } from './valkey.ts';

/** PostgreSQL, the two Valkey roles, NATS and, where asked for, Meilisearch. */
export function dataChart(app: App, config: DeploymentConfig): Chart {
  const chart = addChart(app, config, 'data');
  const services = [postgresService, valkeyQueueService, valkeyCacheService, natsService, meilisearchService];
  for (const service of services) {
    const parts = service(config);
    if (parts !== undefined) addDataService(chart, config, parts);
  }
  return chart;
}
