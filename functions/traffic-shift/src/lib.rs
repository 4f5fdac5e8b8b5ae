//! traffic-shift
