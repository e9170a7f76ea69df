package deploy_test

import (
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"
)

var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// environment is what the kubelet gives a container: envFrom, then env in order, each $(NAME) replaced by what came before it.
func (c *cluster) environment(container corev1.Container, pod string) (map[string]string, error) {
	env := map[string]string{}
	for _, from := range container.EnvFrom {
		if from.ConfigMapRef == nil || c.configMaps[from.ConfigMapRef.Name] == nil {
			return nil, fmt.Errorf("%s: envFrom names a ConfigMap that is not there", container.Name)
		}
		for key, value := range c.configMaps[from.ConfigMapRef.Name].Data {
			env[from.Prefix+key] = value
		}
	}
	for _, e := range container.Env {
		value, err := c.value(e, pod)
		if err != nil {
			return nil, fmt.Errorf("%s: variable %s: %w", container.Name, e.Name, err)
		}
		for _, used := range reference.FindAllStringSubmatch(value, -1) {
			if _, known := env[used[1]]; !known {
				return nil, fmt.Errorf("%s: variable %s: %s is not set before it", container.Name, e.Name, used[0])
			}
		}
		env[e.Name] = reference.ReplaceAllStringFunc(value, func(used string) string { return env[used[2:len(used)-1]] })
	}
	return env, nil
}

func (c *cluster) value(e corev1.EnvVar, pod string) (string, error) {
	from := e.ValueFrom
	switch {
	case from == nil:
		return e.Value, nil
	case from.SecretKeyRef != nil:
		secret := c.secrets[from.SecretKeyRef.Name]
		if secret == nil || len(secret.Data[from.SecretKeyRef.Key]) == 0 {
			return "", fmt.Errorf("deploy/k8s/secrets makes no %s with %s", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
		}
		return string(secret.Data[from.SecretKeyRef.Key]), nil
	case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
		return pod, nil
	default:
		return "", fmt.Errorf("comes from somewhere that the test does not know: %v", from)
	}
}
