//! The router alone, between real clients and scripted nodes.

mod bounds;
mod config;
mod grpc;
mod http;
mod places;
mod rig;
