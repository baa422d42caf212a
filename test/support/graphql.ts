import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import type { DynamicModule } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';

/** Apollo with this schema, and the context that the docs ask for. */
export function apollo(typeDefs: string, options: Partial<ApolloDriverConfig> = {}): DynamicModule {
  return GraphQLModule.forRoot<ApolloDriverConfig>({
    driver: ApolloDriver,
    typeDefs,
    context: ({ req, res }: { req: object; res: object }) => ({ req, res }),
    ...options,
  });
}
