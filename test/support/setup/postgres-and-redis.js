import '../register.js';

export default async () => {
  const { startTestServer, atEnd } = await import('../test-server.ts');
  const { startRedis, startRedisCluster } = await import('../redis-server.ts');
  await startTestServer();
  const redis = await startRedis();
  atEnd(() => redis.stop());
  const cluster = await startRedisCluster();
  atEnd(() => cluster.stop());
  process.env.LATCHKEY_TEST_REDIS = redis.url;
  process.env.LATCHKEY_TEST_REDIS_CLUSTER = cluster.urls.join();
};
