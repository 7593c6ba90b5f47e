if [ -x /sbin/sysctl ]; then
    sysctl --system
fi
