#!/bin/bash
# First script of a boot.
if [ -x /sbin/sysctl ]; then
  /sbin/sysctl -e --system
fi
