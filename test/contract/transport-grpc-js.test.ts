import { listenGrpcJs } from '../../src/envoy/grpc-js.ts';
import { transportContract } from './transport-suite.ts';

transportContract('grpc-js', listenGrpcJs);
