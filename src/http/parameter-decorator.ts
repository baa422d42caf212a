import type { createParamDecorator } from '@nestjs/common';

/** Written out where one is exported: what the compiler infers names a type of our Nest, which Nest 11 does not have. */
export type ParameterDecoratorOf<Data> = ReturnType<typeof createParamDecorator<Data>>;
